"""`mika open` and `mika url`: the page of a part of the running stack, and its address."""

from __future__ import annotations

import click

from mika.cli.context import Context
from mika.cli.language import echo
from mika.cli.names import names
from mika.wording import _

_WORDS = ("ui", "api", "docs")
_what = click.argument("what", required=False, default="", metavar="[ui|api|docs|NAME]", shell_complete=names(*_WORDS))


@click.command("open")
@_what
@click.pass_obj
def open_command(context: Context, what: str) -> None:
    """Print the address of a page, and open it in the browser if there is a display.

    ui is Temporal's UI; docs is where the app describes its API; any other word is the name of a process or service.
    Without one: the UI, or the only page that there is.
    """
    from mika.cli.browser import open_page
    from mika.stack.places import answers, page

    url = page(context.client.status(), what, answers)
    echo(url)
    if not open_page(url):
        echo(_("(no display here: open it where you have a browser)"), err=True)


@click.command("url")
@click.argument("name", shell_complete=names(*_WORDS))
@click.pass_obj
def url_command(context: Context, name: str) -> None:
    """Print where a process or service (or ui, docs) is, and nothing else: for scripts.

    What does not speak HTTP has no URL: then it is HOST:PORT.
    """
    from mika.stack.places import answers, place

    echo(place(context.client.status(), name, answers))
