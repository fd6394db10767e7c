"""Small projects that have never heard of mika, and what is found in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mika.detect.findings import Process, Proposal
from mika.detect.proposal import propose

WORKER = """
import asyncio, os
from temporalio.client import Client
from temporalio.worker import Worker
{imports}
async def main(queue="from-a-default"):
    client = await Client.connect("{address}")
    await Worker(client, task_queue={queue}, {kinds}=[]).run()
if __name__ == "__main__":
    asyncio.run(main())
"""
POM = "<project><groupId>io.temporal</groupId><artifactId>temporal-sdk</artifactId></project>"
JAVA = """package com.acme.work;
class JobWorker {
  static final String TASK_QUEUE = "a constant";
  public static void main(String[] args) { Worker worker = factory.newWorker(QUEUE); }
}
"""
HERE = "localhost:${TEMPORAL_PORT}"
"""What a program is told that connects to where a variable says."""
API = "from fastapi import FastAPI\napp = FastAPI()\n"


def worker(queue: str, imports: str = "", address: str = "localhost:7233", kinds: str = "workflows") -> str:
    return WORKER.format(queue=queue, imports=imports, address=address, kinds=kinds)


def make(folder: Path, sources: Mapping[str, str | bytes]) -> Path:
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def proposed(folder: Path, sources: Mapping[str, str | bytes], **variables: str) -> Proposal:
    return propose(make(folder, sources), variables, (8000, 7233), {})


def only(proposal: Proposal) -> Process:
    assert len(proposal.processes) == 1, proposal
    return proposal.processes[0]
