"""Two runs, variants, delegates, devices or runtimes held against each other, case by case."""
