from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from temporalio.client import Client

from app.routes import health
from app.settings import ADDRESS, TASK_QUEUE
from app.workflows import OrderWorkflow


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.client = await Client.connect(ADDRESS)
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(health.router)


@app.get("/")
async def docs() -> RedirectResponse:
    return RedirectResponse("/docs")


@app.post("/orders/{order}")
async def place(order: str) -> dict[str, str]:
    result = await app.state.client.execute_workflow(
        OrderWorkflow.run, order, id=f"order-{order}", task_queue=TASK_QUEUE
    )
    return {"result": result}
