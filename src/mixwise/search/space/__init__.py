"""The simplex cut by bounds: points, projections, maxima."""
