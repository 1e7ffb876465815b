"""Production in four minutes: a model is trained on 2011, serves the hours of 2012, drifts, and is replaced.

Everything is done by commands; this program writes the raw tables, and is the client that asks for rentals and learns
the true ones later. Usage: python examples/production/demo.py [FOLDER]
"""

import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from datamodules.sources import data_root
from lightning_app.serving import Client

HERE = Path(__file__).parent
COMMAND = str(Path(sys.executable).with_name("lightning-app"))
ROWS_PER_SECOND = 50
MOST_SECONDS = 300.0
OUTCOME_DELAY = 3.0
"""Seconds until a true number of rentals is known: about six days of the replay."""


def main() -> None:
    """Runs the demo."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo-production").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in HERE.glob("*.yaml"):
        shutil.copy(file, folder)
    hours = read_hours()
    first_year = hours.filter(pl.col("at") < datetime(2012, 1, 1))
    first_year.with_columns(pl.col("at").alias("time")).write_parquet(folder / "first_year.parquet")
    later = hours.filter(pl.col("at") >= datetime(2012, 1, 1))

    say("a model of 2011")
    run("fit", "-c", "fit.yaml", cwd=folder)
    run("export", "best", "-c", "fit.yaml", "--output", "package", cwd=folder)
    run("register", "package", "--name", "bikes", "--registry", "sqlite:///mlflow.db", cwd=folder)
    run("promote", "bikes@1", "--to", "champion", "--registry", "sqlite:///mlflow.db", cwd=folder)

    say("it serves 2012, hour by hour; true rentals come later")
    server = subprocess.Popen([COMMAND, "serve", "--config", "serve.yaml"], cwd=folder, stdout=subprocess.PIPE,
                              stderr=(folder / "server.log").open("wb"), text=True)  # fmt: skip
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        if not line:
            sys.exit((folder / "server.log").read_text() or server.wait())
        print(line, end="")
        address = line.split()[2].rstrip(";")
        traffic = Traffic(address, later)
        traffic.start()
        say("drift is watched; retraining looks every few seconds whether something is due")
        watch_until_promoted(folder, traffic)
        traffic.wait_for(rows=traffic.answered + 20 * ROWS_PER_SECOND)  # the new version shows what it is worth
        traffic.stop()
        time.sleep(OUTCOME_DELAY)
    finally:
        server.terminate()
        server.wait()

    say("what has happened")
    run("retrain", "history", "--policy", "retrain.yaml", cwd=folder)
    run("monitor", "report", "--config", "monitor.yaml", "--registry", "sqlite:///mlflow.db", "--output", "report",
        "--window", "5m", cwd=folder)  # fmt: skip
    print(f"the page: {folder / 'report' / 'report.html'}")


class Traffic(threading.Thread):
    """A client that asks for the rentals of each hour, and learns them some seconds later.

    Args:
        address: Address of the server.
        hours: The hours, with their true rentals.
    """

    def __init__(self, address: str, hours: pl.DataFrame) -> None:
        super().__init__(daemon=True)
        self.answered = 0
        self.versions: dict[int, int] = {}
        self._address, self._hours = address, hours
        self._end = threading.Event()

    def run(self) -> None:
        """Asks until there are no more hours, or until it is stopped."""
        begin = time.monotonic()
        waiting: deque[tuple[float, str, int]] = deque()
        with Client(self._address) as client:
            for row in self._hours.iter_rows(named=True):
                self._end.wait(max(0.0, begin + self.answered / ROWS_PER_SECOND - time.monotonic()))
                if self._end.is_set():
                    break
                rentals = row.pop("cnt")
                answer = client.predict([{**row, "at": row["at"].isoformat(sep=" ")}])
                self.answered += 1
                if answer.version is not None:
                    self.versions[answer.version] = self.versions.get(answer.version, 0) + 1
                waiting.append((time.monotonic() + OUTCOME_DELAY, answer.request_id, rentals))
                while waiting and waiting[0][0] <= time.monotonic():
                    _, request_id, outcome = waiting.popleft()
                    client.feedback(request_id, outcome=outcome)
            for _, request_id, outcome in waiting:
                client.feedback(request_id, outcome=outcome)

    def wait_for(self, *, rows: int) -> None:
        """Waits until some rows were answered, or all.

        Args:
            rows: Number of the rows.
        """
        while self.is_alive() and self.answered < rows:
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends the traffic; what is known of the last answers is still sent."""
        self._end.set()
        self.join()


def watch_until_promoted(folder: Path, traffic: Traffic) -> None:
    """Runs `retrain watch` until a version was promoted; ends the demo if that takes too long.

    Args:
        folder: Folder of the demo.
        traffic: The client.
    """
    words = ("retrain", "watch", "--policy", "retrain.yaml", "--every", "2s")
    print(f"$ lightning-app {' '.join(words)}", flush=True)
    watch = subprocess.Popen([COMMAND, *words], cwd=folder, stdout=subprocess.PIPE,
                             stderr=(folder / "watch.log").open("wb"), text=True)  # fmt: skip

    def end() -> None:
        traffic.join(MOST_SECONDS)
        watch.terminate()

    threading.Thread(target=end, daemon=True).start()
    assert watch.stdout is not None
    try:
        for line in watch.stdout:
            print(f"{datetime.now(UTC):%H:%M:%S}  {line}", end="", flush=True)
            if " promoted" in line:
                return
    finally:
        watch.terminate()
        watch.wait()
    why = "in time" if traffic.is_alive() else "before the hours of 2012 were over"
    sys.exit(f"no version was promoted {why}; see watch.log and server.log in {folder}")


def read_hours() -> pl.DataFrame:
    """The hours of 2011 and 2012: what a client knows of them, and their rentals."""
    file = data_root(None) / "bike_sharing" / "hour.csv"
    if not file.is_file():
        sys.exit(f"{file} is missing: hour.csv of https://archive.ics.uci.edu/dataset/275 belongs there; "
                 "$LIGHTNING_APP_DATA names another folder than ./data")  # fmt: skip
    table = pl.read_csv(file, try_parse_dates=True)
    at = pl.col("dteday").cast(pl.Datetime("us")) + pl.duration(hours=pl.col("hr"))
    return table.select(
        at.alias("at"), "holiday", "workingday", pl.col("weathersit").cast(pl.String), "temp", "hum", "windspeed", "cnt"
    )


def run(*words: str, cwd: Path) -> None:
    """Runs a command.

    Args:
        words: Verb and options.
        cwd: Working folder.
    """
    print(f"$ lightning-app {' '.join(words)}", flush=True)
    if code := subprocess.run([COMMAND, *words], cwd=cwd, check=False).returncode:
        sys.exit(code)


def say(text: str) -> None:
    """Prints a line of the story.

    Args:
        text: The line.
    """
    print(f"\n{datetime.now(UTC):%H:%M:%S}  {text}", flush=True)


if __name__ == "__main__":
    main()
