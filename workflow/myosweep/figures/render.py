"""Render muscle surfaces off-screen; run as a process of its own.

VTK dies with a segmentation fault where it finds neither X nor EGL nor OSMesa, so the caller starts this file
and looks at how it ended. It imports nothing of the package, so that it starts wherever it lies.

Usage: render.py INPUT.npz OUTPUT.npz
INPUT holds `fractions` (structure, z, y, x) in 0..1, `spacing` (x, y, z) mm, `colours`, `angles` (degrees),
`size` (columns, rows) in pixels, `half_height_mm`. OUTPUT holds `views` (view, row, column, 3) uint8.
"""

import sys

import numpy as np


def main(source: str, target: str) -> None:
    """Render every view of one input."""
    import pyvista as pv

    job = np.load(source)
    fractions, spacing = job["fractions"], job["spacing"]
    meshes = []
    for fraction, colour in zip(fractions, job["colours"], strict=True):
        if fraction.max() <= 0.5:
            continue
        grid = pv.ImageData(dimensions=fraction.shape[::-1], spacing=tuple(spacing))
        grid.point_data["fraction"] = np.ascontiguousarray(fraction).ravel()
        mesh = grid.contour([0.5], scalars="fraction", method="flying_edges")
        meshes.append((mesh.smooth_taubin(n_iter=40, pass_band=0.03), str(colour)))
    centre = np.array(job["centre"])
    distance = 10.0 * float(job["half_height_mm"]) + float(
        np.linalg.norm(np.multiply(fractions.shape[:0:-1], spacing))
    )
    views = []
    for angle in np.deg2rad(job["angles"]):
        plotter = pv.Plotter(off_screen=True, window_size=[int(n) for n in job["size"]], lighting="none")
        plotter.set_background("white")  # type: ignore[arg-type]
        for mesh, colour in meshes:
            plotter.add_mesh(
                mesh,
                color=colour,
                smooth_shading=True,
                ambient=0.35,
                diffuse=0.65,
                specular=0.1,
                specular_power=12,
            )
        towards = np.array([np.sin(angle), -np.cos(angle), 0.0])
        up = np.array([-np.cos(angle), -np.sin(angle), 0.0])
        light = centre + distance * (towards + 0.5 * up + np.array([0, 0, -0.35]))
        plotter.add_light(pv.Light(position=tuple(light), focal_point=tuple(centre), intensity=0.75))
        front = tuple(centre + distance * towards)
        plotter.add_light(pv.Light(position=front, focal_point=tuple(centre), intensity=0.45))
        plotter.camera.position = front
        plotter.camera.focal_point = tuple(centre)
        plotter.camera.up = tuple(up)
        plotter.camera.parallel_projection = True
        plotter.camera.parallel_scale = float(job["half_height_mm"])
        plotter.renderer.ResetCameraClippingRange()
        plotter.enable_anti_aliasing("ssaa")
        views.append(np.asarray(plotter.screenshot(return_img=True))[..., :3])
        plotter.close()
    np.savez(target, views=np.stack(views))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
