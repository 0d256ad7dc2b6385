"""Judging pictures and films. Nothing is imported here: the child that judges may lack all of our libraries."""
