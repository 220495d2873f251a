"""OpenAI's SDK for Python, against the simulator's embeddings.

Run with the simulator's origin, such as http://127.0.0.1:8080, as argument.
"""

import sys

from openai import BadRequestError, OpenAI

ORIGIN = sys.argv[1]
MODEL = "accounts/simulator/models/embedding"


def main():
    client = OpenAI(api_key="fw_test", base_url=f"{ORIGIN}/inference/v1", max_retries=0)
    # The SDK asks for base64 by default, and decodes it.
    packed = client.embeddings.create(model=MODEL, input=["rivers", "lakes"])
    numbers = client.embeddings.create(
        model=MODEL, input=["rivers", "lakes"], encoding_format="float"
    )
    assert [item.index for item in packed.data] == [0, 1], packed
    assert [item.embedding for item in packed.data] == [item.embedding for item in numbers.data]
    assert len(packed.data[0].embedding) == 64
    assert packed.data[0].embedding != packed.data[1].embedding
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 2, packed.usage
    short = client.embeddings.create(model=MODEL, input="rivers", dimensions=8)
    assert short.data[0].embedding == packed.data[0].embedding[:8]
    try:
        client.embeddings.create(model=MODEL, input="")
    except BadRequestError:
        print("ok")
        return
    raise AssertionError("an empty text was embedded")


main()
