"""The queue: the broker that loses no job, dead jobs, and the scheduler."""
