"""The commands with which a workflow of mika itself tries something out on a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporalio.api.command.v1 import Command
    from temporalio.api.common.v1 import Payload


def upsert_and_complete(values: Mapping[str, Payload]) -> list[Command]:
    """A whole workflow, as its only task decides it."""
    from temporalio.api.command.v1 import (
        Command,
        CompleteWorkflowExecutionCommandAttributes,
        UpsertWorkflowSearchAttributesCommandAttributes,
    )
    from temporalio.api.common.v1 import SearchAttributes
    from temporalio.api.enums.v1 import CommandType

    upsert = UpsertWorkflowSearchAttributesCommandAttributes(search_attributes=SearchAttributes(indexed_fields=values))
    return [
        Command(
            command_type=CommandType.COMMAND_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
            upsert_workflow_search_attributes_command_attributes=upsert,
        ),
        Command(
            command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
            complete_workflow_execution_command_attributes=CompleteWorkflowExecutionCommandAttributes(),
        ),
    ]
