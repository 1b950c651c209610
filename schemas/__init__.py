"""The contracts: tables, configuration files, log lines and exit codes. Imports neither `spark_jobs` nor `training`."""
