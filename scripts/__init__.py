"""What the Makefile starts: set-up, the stack (Redis, worker, page), the demo, the sample."""
