"""LangChain models that run on a Sparkler worker."""

from .chat_models import ChatSparkler
from .embeddings import SparklerEmbeddings

__all__ = ["ChatSparkler", "SparklerEmbeddings"]
