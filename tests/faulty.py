"""A process for tests that kill: does what each line of its input asks in a child of its own.

A line is JSON: ``verb``, its ``arguments``, and ``words``; with them the child kills itself by signal 9 at
the first file operation that names all of them. The answer is its exit status, a signal as its negative.
"""

import json
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path

import mlflow  # noqa: F401  (once for all children)

import clvseg
from clvseg import report, tracking, workflow  # noqa: F401
from clvseg.config import Settings
from clvseg.run import Run


def _publish(run, output):
    loaded = Run.load(run)
    settings = Settings.make(loaded.settings.model_dump(mode="json") | {"output": output})
    object.__setattr__(loaded, "settings", settings)
    clvseg.publish(loaded)


def _log(folder):
    tracking.log_run(Run.load(folder), Path(folder))


def _score(folder, to, log="dataset:cdnow_sample", since=None):
    workflow.score_to_file(Path(folder), log, Path(to), since=since)


def _forecast(folder):
    from clvseg import results

    run = Run.load(folder)
    results.publish_forecast(run, workflow.forecast(run))


VERBS = {"publish": _publish, "log": _log, "score": _score, "forecast": _forecast}


def _kill_at(words):
    def look(event, arguments):
        if event in ("os.rename", "os.symlink", "open", "shutil.rmtree", "shutil.copyfile"):
            said = f"{event} {arguments}"
            if all(word in said for word in words):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def main():
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                if asked["words"]:
                    _kill_at(asked["words"])
                VERBS[asked["verb"]](*asked["arguments"])
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
