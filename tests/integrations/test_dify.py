"""The heart of the Dify plugin, in Dify's SDK, which patches everything with gevent."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from conftest import block

# In a process of its own, which is patched before anything else is imported.
DRIVER = """
import json, os, sys
import dify_plugin
import gevent
from gevent import monkey
from dify_plugin.entities.model.message import PromptMessageTool, UserPromptMessage
from dify_plugin.errors.model import CredentialsValidateFailedError, InvokeAuthorizationError

assert monkey.is_module_patched("socket")
from models.llm.llm import SparklerLargeLanguageModel

MODEL = "accounts/fireworks/models/glm-5p3"
credentials = {"api_key": "fw_dify", "worker_url": os.environ["SPARKLER_WORKER"]}

def ask(text, stream=True, **options):
    chunks = list(SparklerLargeLanguageModel([]).invoke(
        model=MODEL, credentials=credentials, prompt_messages=[UserPromptMessage(content=text)],
        model_parameters={"temperature": 0.1}, stream=stream, user="ada", **options))
    said = "".join(chunk.delta.message.content for chunk in chunks)
    calls = [call.function.name for chunk in chunks for call in chunk.delta.message.tool_calls]
    return {"text": said, "calls": calls, "tokens": chunks[-1].delta.usage.total_tokens}

jobs = [gevent.spawn(ask, f"Question {number}?") for number in range(3)]
gevent.joinall(jobs, timeout=30, raise_error=True)
found = {"answers": [*(job.value for job in jobs), ask("Whole?", stream=False)]}

nothing = {"type": "object", "properties": {}}
tool = PromptMessageTool(name="look", description="Looks.", parameters=nothing)
found["calls"] = ask("call look", tools=[tool])["calls"]

model = SparklerLargeLanguageModel([])
model.validate_credentials(MODEL, credentials)
try:
    model.validate_credentials(MODEL, {**credentials, "api_key": "fw_unknown"})
except CredentialsValidateFailedError as error:
    found["refused"] = str(error)
try:
    credentials["api_key"] = "fw_unknown"
    ask("Refused?")
except InvokeAuthorizationError as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


def test_a_plugin_answers_in_parallel(simulator, worker, tmp_path) -> None:
    plugin = tmp_path / "models/llm"  # as plugins have it: the SDK looks at the module's path
    plugin.mkdir(parents=True)
    (plugin / "llm.py").write_text(block("dify.md", "llm.py"))
    (tmp_path / "driver.py").write_text(DRIVER)
    run = subprocess.run(
        [sys.executable, "driver.py"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert len(found["answers"]) == 4
    assert all(answer["text"] and answer["tokens"] for answer in found["answers"])
    assert found["calls"] == ["look"]
    assert "credential" in found["refused"]
    assert "Incorrect model credentials" in found["error"]
