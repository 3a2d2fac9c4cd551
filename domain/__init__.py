"""The words of the program: values every other package speaks in. Pure; imports nothing of ours."""
