"""Saga files, from text to plan: load (text to values with their places), check, compile, bind the inputs.

Whatever is wrong with a file is told at once and as data (``problems``); nothing that a user can write raises. Who
may come in: ``orchestrator.service`` and the API (``compile.Compiler``), the command line (``problems`` alone).
"""
