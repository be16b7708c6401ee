"""What every study is made of: stages, their addresses, jobs, the runner, results."""
