"""llama.cpp's server with a tiny model made here: PORT FOLDER.

The weights are random, the words are not: greedily it says what is in WORDS, and where
a grammar forbids those, whatever the grammar demands.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

KEY = "sk-llama"
WINDOW = 65_536
WORDS = ["▁river", "▁stone", "▁grüße", "▁lantern", "▁🏔", "▁quiet", "▁bridge", "▁,", "▁日本"]
# One token, so that a bias is enough to have the model call a tool.
TOOL_CALL = "<tool_call>\n"
SPACE = "▁"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
VOCABULARY = ["<unk>", "<s>", "</s>", *BYTES, TOOL_CALL, SPACE, *WORDS]
TYPES = [
    gguf.TokenType.UNKNOWN,
    *[gguf.TokenType.CONTROL] * 2,
    *[gguf.TokenType.BYTE] * len(BYTES),
    gguf.TokenType.USER_DEFINED,
    *[gguf.TokenType.NORMAL] * len([SPACE, *WORDS]),
]
# Has the model call tools, without spaces, of which a grammar allows any number.
CALL_TOOLS = {str(VOCABULARY.index(TOOL_CALL)): 50} | {
    str(VOCABULARY.index(space)): -100 for space in (SPACE, "<0x09>", "<0x0A>", "<0x0D>", "<0x20>")
}
# And has it end after the first, before which the grammar of a required call forbids the end.
CALL_A_TOOL = CALL_TOOLS | {str(VOCABULARY.index("</s>")): 100}
WIDTH, LAYERS, HEADS, INNER = 64, 2, 4, 128

TEMPLATE = """
{%- if tools %}<|im_start|>system
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools><|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{%- if message.content %}
{{ message.content }}
{%- endif %}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def write_model(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(WINDOW)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(VOCABULARY)
    writer.add_token_scores([0.0] * len(VOCABULARY))
    writer.add_token_types(TYPES)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, weights in tensors().items():
        writer.add_tensor(f"{name}.weight", weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.standard_normal((rows, columns)) * 0.2

    output = matrix(len(VOCABULARY), WIDTH)
    output[: -len(WORDS)] = 0.0  # Below the best of the words, whose logits are random.
    found = {"token_embd": matrix(len(VOCABULARY), WIDTH), "output": output}
    found["output_norm"] = np.ones(WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        found |= {block + norm: np.ones(WIDTH) for norm in ("attn_norm", "ffn_norm")}
        found |= {
            block + f"attn_{part}": matrix(WIDTH, WIDTH) for part in ("q", "k", "v", "output")
        }
        found |= {block + part: matrix(INNER, WIDTH) for part in ("ffn_gate", "ffn_up")}
        found[block + "ffn_down"] = matrix(WIDTH, INNER)
    return found


def main(port: int, folder: Path) -> None:
    write_model(folder / "tiny.gguf")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(folder / "tiny.gguf")
    settings.port, settings.api_keys = port, [KEY]
    settings.n_ctx, settings.cpuparams.n_threads = WINDOW, 1
    settings.chat_template = TEMPLATE
    settings.ui = settings.warmup = settings.fit_params = False
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
