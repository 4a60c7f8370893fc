"""The simulated shop: raw logs with a known hidden intent.

`intent.simulate.shop.simulate` writes the logs of such a shop. Whatever is measured on them is
measured on a simulation, and is called so.
"""
