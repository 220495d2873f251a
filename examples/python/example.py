# pip install sparkler-client
# SPARKLER_WORKER=http://127.0.0.1:50051 FIREWORKS_API_KEY=fw_… python example.py
import os

from sparkler_client import Sparkler

with Sparkler(api_key=os.environ["FIREWORKS_API_KEY"]) as client:
    run = client.execute("Why is the sky blue?", model="accounts/fireworks/models/glm-5p3")
    for text in run.text():
        print(text, end="", flush=True)
    answer = run.answer()
    print(f"\n{answer.usage.total_tokens} tokens, {answer.cost and f'${answer.cost.spent}'}")
