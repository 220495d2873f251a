"""Answers a question from a folder of Markdown files: a small RAG flow over one worker.

    pip install sparkler-client
    SPARKLER_WORKER=http://127.0.0.1:50051 FIREWORKS_API_KEY=fw_… \\
        python rag.py ../../docs "How is a request shared among workers?"

The whole folder is embedded at every start, and no index is stored. The worker caches each
piece of text by itself, so only pieces that have changed are paid for.
"""

from __future__ import annotations

import os
import sys
from operator import mul
from pathlib import Path

from sparkler_client import Embeddings, Sparkler

EMBEDDING_MODEL = os.environ.get("EMBEDDING_MODEL", "fireworks/qwen3-embedding-8b")
CHAT_MODEL = os.environ.get("CHAT_MODEL", "accounts/fireworks/models/glm-5p3")
TEXTS = 1000
PIECE = 1500


def pieces(folder: Path) -> list[str]:
    """Returns the paragraphs of every file, joined up to a size, under the name of their file."""
    found = []
    for file in sorted(folder.rglob("*.md")):
        piece = ""
        for paragraph in file.read_text().split("\n\n"):
            if piece and len(piece) + len(paragraph) > PIECE:
                found.append(f"{file.name}\n\n{piece}")
                piece = ""
            piece += paragraph + "\n\n"
        found.append(f"{file.name}\n\n{piece}")
    return found


def embed(client: Sparkler, texts: list[str]) -> tuple[list[list[float]], str]:
    """Returns the vector of each text, and what they took."""
    vectors, executed, spent = [], 0, 0.0
    for start in range(0, len(texts), TEXTS):
        answer = client.execute(
            texts=texts[start : start + TEXTS],
            model=EMBEDDING_MODEL,
            config={"normalize": True},
            cache="read_write",
        ).answer()
        assert isinstance(answer.embeddings, Embeddings)
        vectors += [vector.tolist() for vector in answer.embeddings]
        executed += answer.embeddings.executed
        spent += answer.cost.spent if answer.cost else 0
    return vectors, f"{len(texts)} pieces, {executed} of them embedded now, ${spent:.6f}"


def nearest(question: list[float], vectors: list[list[float]], count: int) -> list[int]:
    """Returns the places of the vectors that are most like the question's."""
    likeness = [sum(map(mul, question, vector)) for vector in vectors]
    return sorted(range(len(vectors)), key=likeness.__getitem__, reverse=True)[:count]


def main(folder: str, question: str) -> None:
    """Ingests the folder, and answers the question."""
    with Sparkler(api_key=os.environ["FIREWORKS_API_KEY"]) as client:
        texts = pieces(Path(folder))
        vectors, took = embed(client, texts)
        print(took)
        (asked,), _ = embed(client, [question])
        known = "\n\n---\n\n".join(texts[place] for place in nearest(asked, vectors, 4))
        prompt = f"Answer from these pages alone.\n\n{known}\n\nQuestion: {question}"
        for text in client.execute(prompt, model=CHAT_MODEL).text():
            print(text, end="", flush=True)
        print()


main(*sys.argv[1:])
