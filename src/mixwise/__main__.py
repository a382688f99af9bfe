"""Entry of the command line: Ctrl-C is heard before anything else is loaded."""

from mixwise.interrupts import end_at_once_when_asked


def main() -> None:
    """Run the command line; see `mixwise.cli.app`."""
    end_at_once_when_asked()
    from mixwise.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
