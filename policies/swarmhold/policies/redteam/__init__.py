"""Attacks on a team policy, from scripted breakdowns to learned adversaries."""
