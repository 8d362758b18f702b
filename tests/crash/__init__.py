"""Processes killed at named points, servers stopped and frozen: nothing is lost, nothing is done twice."""
