"""A forked child may use a tokenizer that another thread of its parent was using when it forked."""

from __future__ import annotations

import subprocess
import sys

FORK = """
import os, sys, threading, time
from electra import ElectraTokenizer

tokenizer = ElectraTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
text = "a b " * 2000
expected = tokenizer("a b a b", truncation=True, max_length=5)["input_ids"]
stop = threading.Event()

def work():
    while not stop.is_set():
        tokenizer(text, truncation=True, max_length=64)

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
time.sleep(0.05)
children = []
for _ in range(15):
    child = os.fork()
    if child == 0:
        same = tokenizer("a b a b", truncation=True, max_length=5)["input_ids"] == expected
        whole = len(tokenizer(text, truncation=False)["input_ids"]) == 4002
        os._exit(0 if same and whole else 1)
    children.append(child)
    time.sleep(0.003)
codes = []
deadline = time.monotonic() + 20
while children and time.monotonic() < deadline:
    for child in list(children):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            children.remove(child)
            codes.append(status)
    time.sleep(0.01)
for child in children:
    os.kill(child, 9)
stop.set()
print(len(children), set(codes))
"""


def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[0] == "0 {0}", (done.stdout, done.stderr[-2000:])
