"""Random families of sagas in real stores: children, locks, limits, migrations, any faults in any order."""
