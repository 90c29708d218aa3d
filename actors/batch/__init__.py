"""Batches: a batch is a saga whose steps are sagas.

So it has a saga's statuses, holds, record and way back, and comes back from a crash as any saga does. What is here is the
driver of those steps, and the birth of a batch with all its sagas at once. No saga file can name that driver.
"""
