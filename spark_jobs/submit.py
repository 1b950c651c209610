"""`spark-submit spark_jobs/submit.py run PIPELINE --lake DIR --warc GLOB`: the same verbs as `corpus`, on a cluster."""

from spark_jobs.commands.corpus import main

if __name__ == "__main__":
    main()
