import { NativeConnection, Worker } from '@temporalio/worker';
import { TASK_QUEUE } from './shared';

async function run() {
  const connection = await NativeConnection.connect({ address: process.env.TEMPORAL_ADDRESS });
  const worker = await Worker.create({
    connection,
    workflowsPath: require.resolve('./workflows'),
    taskQueue: TASK_QUEUE,
  });
  await worker.run();
}

run().catch((err) => {
  console.error(err);
  process.exit(1);
});
