"""Methods that change a trained network's weights, given validation rows alone; the table is in the
package.
"""
