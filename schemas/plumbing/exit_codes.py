"""What a finished command tells the shell or scheduler that started it."""

DONE = 0
FAILED = 1
USAGE = 2
CONTRACT_BROKEN = 3
NOTHING_TO_DO = 4
DECISION_NEEDED = 5  # stopped, and not to be run again before a person has looked
RUN_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: stopped early on request, state saved
