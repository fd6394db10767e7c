"""`POST /webhook/n8n`: for LangBot's n8n runner, which waits for the reply and sends it to the chat itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from src.api.answers import N8nAnswer
from src.api.body import read_json_body
from src.api.n8n_login import check_login
from src.api.openapi import NEEDS_SECRET, PROBLEMS_OF_A_BODY, PROBLEMS_OF_A_MESSAGE, answers, described, json_body
from src.chat.n8n import N8nBody, read_n8n
from src.chat_text import CANNED_REPLY
from src.intake.json_body import decode
from src.intake.problems import Problem
from src.intake.simple import MAX_BODY_BYTES
from src.messages import workflow_id_for

if TYPE_CHECKING:
    from src.api.service import MessageService

router = APIRouter()


@router.post(
    "/webhook/n8n",
    response_model=None,
    responses=answers(N8nAnswer, *PROBLEMS_OF_A_BODY, *PROBLEMS_OF_A_MESSAGE)
    | {200: described("Done", N8nAnswer, "application/json", "application/x-ndjson")},
    openapi_extra=NEEDS_SECRET | json_body(N8nBody),
)
async def n8n(request: Request) -> Response:
    """A stream of objects, which every version of LangBot understands; `?format=json` for one object."""
    check_login(request, request.app.state.settings)
    incoming = read_n8n(decode(await read_json_body(request, MAX_BODY_BYTES)))
    service: MessageService = request.app.state.service
    workflow_id = workflow_id_for(incoming, "")
    try:
        reply = await service.answer(incoming, workflow_id)
    except Problem as problem:
        if problem.workflow_id is None:  # it was not taken, so no other reply will come
            problem.canned_reply = CANNED_REPLY
        raise
    if request.query_params.get("format") == "json":
        return JSONResponse({"status": "ok", "response": reply.response, "workflow_id": workflow_id})
    # LangBot 4.7 shows nothing for one plain object where its adapter does not stream.
    item = {"type": "item", "content": reply.response}
    end = {"type": "end", "workflow_id": workflow_id}
    return Response(f"{json.dumps(item)}\n{json.dumps(end)}\n", media_type="application/x-ndjson")
