"""A recorded session heard again: does the engine decide the same, to the byte?"""
