# The body of the sbatch files beside it: check the run once, start one rank a task, and start again until the run is done.
# Sourced with the arguments of `pretrain run`. What the ranks end with is in schemas/exit_codes.py.
set -u
run=("$python" -m training.run "$@")

# srun does not take the cores of a task over from sbatch.
cores=${SLURM_CPUS_PER_TASK:-1}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$cores}
# A rank that ends must not have the others killed while they still save.
step=(srun --label --cpus-per-task="$cores" --kill-on-bad-exit=0 --wait="${HEADWATER_WAIT:-600}")

# What is wrong with the run is told here by one line, and not by every rank.
"${run[@]}" --ranks "$SLURM_NTASKS" --dry-run || exit

for ((crashes = 0; ; crashes++)); do
    # Options of the user's own, split into words.
    # shellcheck disable=SC2086
    "${step[@]}" ${HEADWATER_SRUN:-} "${run[@]}"
    code=$?
    case $code in
        0 | 2 | 3 | 4 | 5) exit "$code" ;; # done; or it would end the same way again; or a person has to decide
        75)
            echo "stopped on request, state saved: job $SLURM_JOB_ID goes back to the queue"
            scontrol requeue "$SLURM_JOB_ID"
            exit "$code"
            ;;
    esac
    ((crashes < ${HEADWATER_RESTARTS:-3})) || exit "$code"
    echo "ranks ended with exit code $code: started again from the last commit"
done
