"""LangChain chat model that runs on a Sparkler worker."""

from .chat_models import ChatSparkler

__all__ = ["ChatSparkler"]
