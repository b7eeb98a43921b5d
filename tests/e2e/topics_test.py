"""flux topics: what is there, new ones, more partitions, and records put in by hand."""

import json
import subprocess

from stack import FLUX, Stack, main


def topics_are_listed_made_expanded_and_written():
    with Stack("--api", "1", "--workers", "1") as stack:
        def ask(*arguments):
            return json.loads(stack.flux("topics", *arguments, "-o", "json").stdout)
        assert {"orders", "workflow.trigger"} <= {t["topic"] for t in ask("list")["topics"]}
        assert ask("create", "mail", "--partitions", "2") == {"topic": "mail", "partitions": 2}
        assert stack.flux("topics", "create", "mail", check=False).returncode == 1

        planned = ask("expand", "mail", "--partitions", "4", "--dry-run")
        assert planned == {"topic": "mail", "from": 2, "to": 4, "applied": False, "moved_keys": 0.5}, planned
        assert len(ask("describe", "mail")["partitions"]) == 2
        assert "order" in stack.flux("topics", "expand", "mail", "--partitions", "4").stdout
        assert stack.flux("topics", "expand", "mail", "--partitions", "4", check=False).returncode == 2

        first = ask("produce", "mail", "hello", "--key", "ada", "--header", "trace=1")
        assert (first["topic"], first["offset"]) == ("mail", 0), first
        lines = subprocess.run([FLUX, *stack.globals, "topics", "produce", "mail", "--key", "ada", "-o", "json"],
                               input="a\nb\n", capture_output=True, text=True, timeout=30, cwd=stack.directory)
        assert [json.loads(line)["offset"] for line in lines.stdout.splitlines()] == [1, 2], lines
        mail = ask("describe", "mail")
        assert mail["partitions"][first["partition"]]["end"] == 3, mail
        assert mail["settings"]["cleanup.policy"] == "delete", mail
        assert stack.flux("topics", "produce", "nothere", "x", check=False).returncode == 1
        assert stack.flux("topics", "produce", "mail", "x", "--header", "bad", check=False).returncode == 2


main([topics_are_listed_made_expanded_and_written])
