"""One rank: `torchrun -m training.run RECIPE --lake DIR --out DIR`, or the same under srun; without a launcher it is
`pretrain run`."""

if __name__ == "__main__":
    import sys

    from training.cli import main

    main(["run", *sys.argv[1:]])
