"""The completion scripts offer the commands and options that this flux has, in each shell that is here."""

import os
import shutil
import subprocess

FLUX = os.environ.get("FLUX_BIN", os.path.join(os.path.dirname(__file__), "../../build/release/flux"))


def script(shell):
    return subprocess.run([FLUX, "completion", shell], capture_output=True, text=True, check=True).stdout


def bash_offers(*words):
    asked = " ".join(f"'{word}'" for word in ("flux", *words))
    program = (f"source /dev/stdin <<'SCRIPT'\n{script('bash')}\nSCRIPT\n"
               f"COMP_WORDS=({asked}); COMP_CWORD={len(words)}; _flux; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    run = subprocess.run(["bash", "-uc", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and not run.stderr, run.stderr
    return run.stdout.split()


def bash_offers_what_fits():
    cases = [
        (("conf",), {"config"}),
        (("config", ""), {"show", "check"}),
        (("config", "s"), {"show"}),
        (("--no-color", "config", "sh"), {"show"}),
        (("completion", ""), {"bash", "zsh", "fish"}),
        (("-o", ""), {"text", "json"}),
        (("--engines", ""), {"embedded", "distributed"}),
        (("config", "show", "--output", "j"), {"json"}),
        (("config", "show", "--out"), {"--output"}),
        (("config", "show", "--he"), {"--help"}),
        (("config", "--config", "fl"), set()),  # files: left to the shell
        (("nonsense",), set()),
    ]
    for words, expected in cases:
        assert set(bash_offers(*words)) == expected, (words, bash_offers(*words), expected)
    assert "config" in bash_offers("")


def every_shell_that_is_here_accepts_its_script():
    for shell, check in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
        text = script(shell)
        assert "config" in text and "completion" in text
        if not shutil.which(shell):
            print(f"{shell} is not installed, its script was only printed")
            continue
        run = subprocess.run([*check, "/dev/stdin"], input=text, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr


bash_offers_what_fits()
every_shell_that_is_here_accepts_its_script()
