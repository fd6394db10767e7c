"""For the bot, which imports only this package of mika: with this, mika can show the bot's texts in Chinese, too.

The API answers in English. Beside that it sends of each text the template and the values (`packed`); mika has the
catalogue.
"""

from mika.wording import Text, _, joined, packed

__all__ = ["Text", "_", "joined", "packed"]
