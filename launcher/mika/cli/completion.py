"""`mika completion`: what a shell has to read so that it completes mika's commands, options and process names."""

from __future__ import annotations

import click
from click.shell_completion import FishComplete, add_completion_class, get_completion_class, shell_complete

from mika.cli.kinds import Choice
from mika.cli.language.help import shown_help
from mika.errors import OK

COMPLETE = "_MIKA_COMPLETE"
"""click's name for the variable by which a shell asks."""
_SHELLS = ("bash", "zsh", "fish", "powershell")
_HELP = """Print the completion script of a shell.

\b
bash, in ~/.bashrc:         eval "$(mika completion bash)"
zsh, in ~/.zshrc:           eval "$(mika completion zsh)"
fish, in config.fish:       mika completion fish | source
PowerShell, in $PROFILE:    mika completion powershell | Out-String | Invoke-Expression
"""


@add_completion_class
class PowerShellComplete(FishComplete):
    """PowerShell, which click does not know. It asks and is answered as fish is."""

    name = "powershell"
    source_template = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $command, $position)
    $line = $command.ToString()
    $env:%(complete_var)s = "powershell_complete"
    $env:COMP_WORDS = $line.Substring(0, [Math]::Min($position, $line.Length))
    $env:COMP_CWORD = $word
    try {
        %(prog_name)s | ForEach-Object {
            $type, $rest = $_ -split ",", 2
            $value, $help = $rest -split "`t", 2
            if (-not $help) { $help = $value }
            if ($type -eq "plain") {
                [System.Management.Automation.CompletionResult]::new($value, $value, "ParameterValue", $help)
            }
        }
    } finally {
        Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_CWORD
    }
}
"""


@click.command("completion", help=_HELP)
@click.argument("shell", type=Choice(_SHELLS))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    completion = get_completion_class(shell)
    assert completion is not None  # noqa: S101 - one of _SHELLS
    click.echo(completion(ctx.find_root().command, {}, "mika", COMPLETE).source())


def answer(command: click.Command, instruction: str) -> int:
    """What a shell asks for: the script (`bash_source`), or the words that may come next (`bash_complete`)."""
    shell, _underscore, what = instruction.partition("_")
    known = get_completion_class(shell)
    if known is None or what != "complete":
        return shell_complete(command, {}, "mika", COMPLETE, instruction)
    completion = known(command, {}, "mika", COMPLETE)
    items = completion.get_completions(*completion.get_completion_args())
    for item in items:
        item.help = shown_help(item.help or "") or None
    click.echo("\n".join(map(completion.format_completion, items)))
    return OK
