"""The REST API: start sagas, watch them, operate them, answer their steps.

Views only parse, ask the engine once, and answer. Their policies (who, how often, which formats, which
errors) are set here and nowhere else: the host's `REST_FRAMEWORK` can not loosen them.
"""
