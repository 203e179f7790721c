"""`python -m oraculo_training train|best`: one command from a dataset to a bundle with its scores."""

import argparse
import json
import sys
from pathlib import Path

from . import KitError, __version__


def parser():
    top = argparse.ArgumentParser(prog="oraculo_training", description="Train forecasters for Oraculo.")
    top.add_argument("--version", action="version", version=__version__)
    sub = top.add_subparsers(dest="command", required=True)
    train = sub.add_parser("train", help="train one model and write its bundle", epilog="Example: train --data data.npz --model mlp --out my-model")
    train.add_argument("--model", required=True, help="logistic, lightgbm, mlp or gru")
    best = sub.add_parser("best", help="train several and keep the one that validates best", epilog="Example: best --data data.npz --out my-model")
    best.add_argument("--models", default="logistic,lightgbm,mlp,gru", help="comma-separated (default: all)")
    best.add_argument("--minutes", type=float, help="train no further model after this time")
    for command in (train, best):
        command.add_argument("--data", type=Path, required=True, help="FILE.npz or FILE.csv of `oraculo features export`")
        command.add_argument("--out", type=Path, required=True, help="folder of the bundle")
        command.add_argument("--name", help="name of the forecaster (default: the folder's)")
        command.add_argument("--topic", help="prefix of the topics it answers (default: btc-usd.up-5m)")
        command.add_argument("--license", help="SPDX expression (default: MIT OR Apache-2.0)")
        command.add_argument("--model-version", help="major.minor.patch (default: 0.1.0)")
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--calibration", default="auto", help="auto, none, temperature, platt or isotonic")
        command.add_argument("--json", action="store_true", help="the report as one JSON object on the last line of stdout")
        command.add_argument("--progress", action="store_true", help="a JSON object a step on stderr, for programs")
    return top


def step(**fields):
    print(json.dumps(fields), file=sys.stderr, flush=True)


def talk(stage, done, of):
    print(f"[{done}/{of}] {stage}", file=sys.stderr, flush=True)


def main(argv=None):
    args = parser().parse_args(argv)
    # Imported here, so that --help answers at once.
    from . import bundle, run

    given = {"topic": args.topic, "license": args.license, "version": args.model_version}
    name = args.name or args.out.resolve().name
    identity = bundle.Identity(name, **{k: v for k, v in given.items() if v is not None})
    options = {"seed": args.seed, "calibrate": args.calibration, "progress": step if args.progress else talk}
    if args.command == "train":
        report = run.one(args.data, run.check_models(args.model)[0], args.out, identity, **options)
    else:
        report = run.best(args.data, run.check_models(args.models), args.out, identity, minutes=args.minutes, **options)
    if args.json:
        print(json.dumps(report))
    else:
        print("\n".join(run.table(report)))
        print(f"verdict     {report['verdict']}")
        if (report["test_opened"] or 1) > 1:
            print(f"note: the test part of this dataset was opened {report['test_opened']} times; only the first look is honest", file=sys.stderr)
        print(f"bundle      {args.out}\ncheck it    oraculo model check {args.out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KitError as error:
        sys.exit(f"error: {error}")
