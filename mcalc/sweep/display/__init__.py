"""What a sweep prints: plan, estimate, status line, results."""
