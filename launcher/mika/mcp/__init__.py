"""`mika mcp`: the commands as tools of the Model Context Protocol. Standard library only, so that it is small."""
