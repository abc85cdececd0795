"""What a run will need, by closed forms: parameters, memory, operations, time and cost. Nothing touches a GPU."""
