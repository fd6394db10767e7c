"""The real LangBot, in environments of its own."""
