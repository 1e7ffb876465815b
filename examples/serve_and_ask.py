"""Serves a model, asks it about the last rows of a table, and stops the server again.

python examples/serve_and_ask.py NAME@champion TABLE.csv --registry sqlite:///mlflow.db
"""

import argparse
import subprocess
import sys
from pathlib import Path

import polars as pl

from lightning_app.serving import Client


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="NAME@champion, or the folder of a package")
    parser.add_argument("table", help="CSV file with raw rows")
    parser.add_argument("--rows", type=int, default=400, help="rows that are sent, from the end of the table")
    parser.add_argument("--registry", default=None, help="where the name is registered")
    arguments = parser.parse_args()

    serve = [str(Path(sys.executable).with_name("lightning-app")), "serve", arguments.model]
    serve += ["--port", "0", "--workers", "1", "--journal", "none"]
    if arguments.registry is not None:
        serve += ["--registry", arguments.registry]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        line = server.stdout.readline()  # says the address once all models can answer
        if not line:
            sys.exit(server.wait())
        print(line, end="")
        with Client(line.split()[2].rstrip(";")) as client:
            answer = client.predict(pl.read_csv(arguments.table, try_parse_dates=True).tail(arguments.rows))
        version = answer.version or answer.digest[:12]  # the package of a folder has no version
        print(f"{answer.model}@{version} to {arguments.rows} raw rows, request {answer.request_id}:")
        for note in answer.notes:
            print(note)
        print(answer.predictions.head(3))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
