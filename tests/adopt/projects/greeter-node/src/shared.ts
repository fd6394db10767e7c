export const TASK_QUEUE = 'greetings-node';
