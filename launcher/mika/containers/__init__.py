"""Docker as the backend and the doctor both see it: its engine, and compose with the labels that it gives."""

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
FOLDER = "com.docker.compose.project.working_dir"
ONE_OFF = "com.docker.compose.oneoff"
NEEDS = "com.docker.compose.depends_on"
