"""What a run trains on before its first step: groups, reference numbers, frozen states."""
